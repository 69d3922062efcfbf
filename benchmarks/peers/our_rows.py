"""Ours, for `benchmarks/data.py`: raw text to packed rows, with the tokenizer trained before.

python our_rows.py TEXT FOLDER LENGTH VOCABULARY SAMPLE plain|clean
"""

import sys
import time
from functools import partial

from keras_vngpt import VnGPTCausalLMPreprocessor, train_tokenizer
from keras_vngpt.data.cleaning import Cleaner
from keras_vngpt.data.corpus_shards import prepare_corpus
from keras_vngpt.data.readers import read_documents, stream_documents
from keras_vngpt.data.sources import find_sources
from keras_vngpt.data.tokenise_and_pack import prepare_documents


def main(text, folder, length, vocabulary, sample, kind):
    tokenizer = train_tokenizer(read_documents([sample]), int(vocabulary))
    preprocessor = VnGPTCausalLMPreprocessor(tokenizer, int(length))
    print("ready", flush=True)
    begin = time.perf_counter()
    faults = []
    sides = prepare_corpus(
        find_sources([text], faults),
        lambda source: stream_documents(source, faults),
        Cleaner() if kind == "clean" else iter,
        partial(prepare_documents, preprocessor=preprocessor),
        folder,
        lambda document: "train",
    )
    print(f"seconds {time.perf_counter() - begin:.2f}\ntokens {sides['train']['tokens']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
