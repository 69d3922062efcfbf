"""A smaller graph: equal constants stand in it once, and nothing that only hands on a tensor."""

from pathlib import Path

from tensorflow.core.protobuf import saved_model_pb2


def shrink(folder):
    """Take the nodes out of the functions of a SavedModel that compute nothing.

    Of the nodes a third are constants, mostly the zeros and ones of slices, each beside its use,
    and a seventh are identities. The time to the first answer goes with their number: TensorFlow
    makes an object of each when it loads, and copies all functions in each of its passes.

    Args:
        folder: str or Path of the SavedModel.
    """
    path = Path(folder) / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for meta_graph in model.meta_graphs:
        for function in meta_graph.graph_def.library.function:
            # Gradients that a layer defines by itself find constants by their names.
            if not any("_gradient_op_type" in node.attr for node in function.node_def):
                _shrink(function)
    path.write_bytes(model.SerializeToString())


def _shrink(function):
    writes = any(node.op.startswith(("Assign", "Save", "Restore")) for node in function.node_def)
    first, same_as, nodes = {}, {}, []
    for node in function.node_def:
        if node.op == "Const" and not node.input:
            value = node.device, node.attr["value"].SerializeToString(deterministic=True)
            if value in first:
                same_as[node.name] = first[value] + ":output:0"
                continue
            first[value] = node.name
        # What an identity waits for runs anyhow; only where variables change is that too late.
        if node.op == "Identity" and not writes:
            same_as[node.name] = node.input[0]
            continue
        nodes.append(node)

    def renamed(name):  # "argument", "node:output:0" or "^node"
        node = name.removeprefix("^").partition(":")[0]
        while node in same_as:
            name = "^" * name.startswith("^") + same_as[node]
            node = same_as[node].partition(":")[0]
        return name.partition(":")[0] if name.startswith("^") else name

    arguments = {"^" + argument.name for argument in function.signature.input_arg}
    for node in nodes:
        inputs = dict.fromkeys(map(renamed, (n for n in node.input if n.startswith("^"))))
        inputs = [name for name in inputs if name not in arguments]  # they are there from the start
        node.input[:] = [renamed(n) for n in node.input if not n.startswith("^")] + inputs
    for returned, name in list(function.ret.items()):
        function.ret[returned] = renamed(name)
    nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del function.node_def[:]
    function.node_def.extend(nodes)
