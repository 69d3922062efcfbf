"""What is taken out of the graph of a SavedModel, and that it computes the same."""

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_vngpt.generation.smaller_graph import shrink


def test_a_function_of_the_export_holds_a_constant_once(run):
    file = (run / "export" / "1" / "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(file).meta_graphs
    for function in graph.graph_def.library.function:
        constants = [n for n in function.node_def if n.op == "Const" and not n.input]
        values = [(n.device, n.attr["value"].SerializeToString()) for n in constants]
        assert len(values) == len(set(values)), function.signature.name


class Memory(tf.Module):
    """Numbers words; what it looks up before and after shows in which order it does what."""

    def __init__(self):
        super().__init__()
        self.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int32, 0)
        self.calls = tf.Variable(0)

    @tf.function(autograph=False)
    def learn(self, words):
        ones = tf.ones(tf.repeat(tf.size(words) * 500, 2))
        slow = tf.cast(tf.reduce_max(ones @ ones), tf.int32)  # who does not wait comes too early
        self.table.insert(words, tf.range(tf.size(words)) + slow)
        self.calls.assign_add(1)
        return tf.size(words)

    @tf.function(autograph=False)
    def double(self, size):
        return 2 * size

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
    def call(self, words):
        before, calls = self.table.lookup(words), self.calls.read_value()
        size = self.double(self.learn(words))
        after = self.table.lookup(words)
        # The same twice, a constant twice, and a sum that nothing needs.
        twice = tf.size(words) * 2 + tf.size(words) * 2
        _ = tf.reduce_sum(tf.cast(before, tf.float32))
        return {
            "before": before,
            "calls": calls,
            "size": tf.identity(size),
            "after": after,
            "calls_after": self.calls.read_value(),
            "twice": twice,
        }


def test_a_smaller_graph_computes_the_same_in_the_same_order(tmp_path):
    module = Memory()
    tf.saved_model.save(module, str(tmp_path), signatures=module.call)

    def library():
        file = (tmp_path / "saved_model.pb").read_bytes()
        return saved_model_pb2.SavedModel.FromString(file).meta_graphs[0].graph_def.library

    whole = library()
    shrink(tmp_path)
    smaller = library()
    assert len(smaller.function) < len(whole.function)
    nodes, fewer = (sum(len(f.node_def) for f in lib.function) for lib in (whole, smaller))
    assert fewer < nodes

    loaded = tf.saved_model.load(str(tmp_path))
    for calls in range(2):
        out = loaded.signatures["serving_default"](words=tf.constant(["a", "b"]))
        out = {name: value.numpy().tolist() for name, value in out.items()}
        known = [1000, 1001] if calls else [0, 0]
        assert out == {
            "before": known,
            "calls": calls,
            "size": 4,
            "after": [1000, 1001],
            "calls_after": calls + 1,
            "twice": 8,
        }
