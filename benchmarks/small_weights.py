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
from keras_vngpt.generation.loading import load_decoder
from keras_vngpt.generation.weights import KINDS


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
    for kind in KINDS:
        nats, bytes_, tokens = read(load_decoder(given.run, kind), texts)
        bits = nats / np.log(2) / bytes_
        exact = exact or (bits, tokens)
        same = np.mean(tokens == exact[1])
        print(f"| {kind} | {bits:.4f} | {bits / exact[0] - 1:+.3%} | {same:.2%} |", flush=True)


def read(decoder, texts):
    """Nats of all targets, the bytes that they are, and the likeliest token at each place."""
    nats, size, tokens = 0.0, 0, []
    for start in range(0, len(texts), 32):
        some = tf.constant(texts[start : start + 32])
        inputs, target, weight = decoder._preprocessor.it(some, sequence_length=decoder.max_length)
        is_token = inputs["padding_mask"] > 0
        lengths = tf.reduce_sum(inputs["padding_mask"], axis=-1)
        flat = tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(inputs["token_ids"], is_token), lengths
        )
        logits = decoder.steps.logits(_padded_left(flat), lengths)
        target = tf.boolean_mask(target, is_token)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
        nats += float(tf.reduce_sum(losses * tf.boolean_mask(weight, is_token)))
        written = decoder.detokenize(tf.where(weight > 0, _target(target, is_token), 0))
        size += sum(map(len, written.numpy()))
        tokens.append(tf.argmax(logits, -1).numpy())
    return nats, size, np.concatenate(tokens)


def _target(target, is_token):
    return tf.scatter_nd(tf.where(is_token), target, tf.shape(is_token, out_type=tf.int64))


def _padded_left(ids):
    return tf.reverse(tf.reverse(ids, [1]).to_tensor(), [1])


if __name__ == "__main__":
    main()
