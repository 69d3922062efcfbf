"""What smaller weights of an export cost: bits per byte and next tokens beside float32.

    python benchmarks/small_weights.py runs/mine vi_dev.txt

Each document up to the model's longest row; the most likely next token at every place of it.
"""

import argparse
import itertools

import numpy as np
import tensorflow as tf
from machine import describe

from keras_vngpt.data.readers import read_documents
from keras_vngpt.generation.generation_config import WEIGHTS
from keras_vngpt.generation.loading import load_generator
from keras_vngpt.generation.shapes import to_the_right


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="run folder or preset")
    parser.add_argument("text", help="text to read, a blank line between documents")
    parser.add_argument("--documents", type=int, default=1_000, help="at most so many")
    given = parser.parse_args()
    texts = list(itertools.islice(read_documents([given.text]), given.documents))
    print(describe(["tensorflow", "keras"]), "\n")
    print("| weights | bits per byte | more | next tokens like float32's |\n|---|---|---|---|")
    exact = None
    for kind in WEIGHTS:
        nats, bytes_, tokens = read(load_generator(given.run, kind), texts)
        bits = nats / np.log(2) / bytes_
        exact = exact or (bits, tokens)
        same = np.mean(tokens == exact[1])
        print(f"| {kind} | {bits:.4f} | {bits / exact[0] - 1:+.3%} | {same:.2%} |", flush=True)


def read(generator, texts):
    """Nats of all targets, the bytes that they are, and the likeliest token at each place."""
    nats, size, tokens = 0.0, 0, []
    for start in range(0, len(texts), 32):
        some = tf.constant(texts[start : start + 32])
        ids, lengths, target, weight = generator._codec.it.examples(some, generator.max_length)
        is_token = tf.range(tf.shape(ids)[1]) < lengths[:, None]
        logits = generator.backend.logits(to_the_right(ids, lengths), lengths)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(target[is_token], logits)
        nats += float(tf.reduce_sum(losses * weight[is_token]))
        written = generator.detokenize(tf.where(is_token & (weight > 0), target, 0))
        size += sum(map(len, written.numpy()))
        tokens.append(tf.argmax(logits, -1).numpy())
    return nats, size, np.concatenate(tokens)


if __name__ == "__main__":
    main()
