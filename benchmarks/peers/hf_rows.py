"""The peer of `benchmarks/data.py`: raw text to packed rows by Hugging Face datasets, tokenizers.

    python hf_rows.py TEXT FOLDER LENGTH VOCABULARY SAMPLE

Trains a byte-level BPE tokenizer on SAMPLE, then times what transformers' recipe run_clm does to
TEXT: tokenise each document, join them with an end token, cut into rows of LENGTH, save.
"""

import sys
import time

import datasets
from tokenizers import ByteLevelBPETokenizer


def main(text, folder, length, vocabulary, sample):
    length = int(length)
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train([sample], vocab_size=int(vocabulary), special_tokens=["<eos>"])
    print("ready", flush=True)
    begin = time.perf_counter()
    documents = datasets.load_dataset(
        "text", data_files=text, sample_by="paragraph", split="train", cache_dir=f"{folder}/cache"
    )

    def tokenise(batch):
        return {"input_ids": [e.ids + [0] for e in tokenizer.encode_batch(batch["text"])]}

    def pack(batch):
        ids = [token for document in batch["input_ids"] for token in document]
        n = len(ids) // length * length
        return {"input_ids": [ids[i : i + length] for i in range(0, n, length)]}

    rows = documents.map(tokenise, batched=True, num_proc=2, remove_columns=["text"])
    rows = rows.map(pack, batched=True, num_proc=2)
    rows.save_to_disk(f"{folder}/rows", num_proc=2)
    print(f"seconds {time.perf_counter() - begin:.2f}\ntokens {len(rows) * length}")


if __name__ == "__main__":
    main(*sys.argv[1:])
