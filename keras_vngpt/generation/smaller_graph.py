"""A smaller graph: a SavedModel with fewer nodes and functions, that computes the same."""

import collections
from pathlib import Path

from tensorflow.core.protobuf import saved_model_pb2

CALLS = "PartitionedCall", "StatefulPartitionedCall"
# Those that stand beside each other with the same inputs: the arithmetic of shapes and places.
PURE = (
    *("Const", "Shape", "Size", "StridedSlice", "Pack", "Reshape", "Fill", "Range", "Cast"),
    *("AddV2", "Sub", "Mul", "Maximum", "Minimum", "FloorMod", "Greater", "Less", "Equal"),
)


def shrink(folder):
    """Take what computes nothing out of the functions of a SavedModel.

    Of the nodes a third are constants, mostly the zeros and ones of slices, each beside its use,
    and a seventh are identities; half of the functions are called from one place. The time to the
    first answer goes with their number: TensorFlow makes an object of each when it loads, and
    copies all functions in each of its passes.

    Args:
        folder: str or Path of the SavedModel.
    """
    path = Path(folder) / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for meta_graph in model.meta_graphs:
        _inline_functions(meta_graph)
        for function in meta_graph.graph_def.library.function:
            if not _has_gradients(function):
                _merge_nodes(function)
    path.write_bytes(model.SerializeToString())


def _inline_functions(meta_graph):
    """Put functions that are called from one place, and compiled with it, into that place."""
    library = meta_graph.graph_def.library
    functions = {function.signature.name: function for function in library.function}
    uses = collections.Counter(list(meta_graph.object_graph_def.concrete_functions))
    for nodes in (meta_graph.graph_def.node, *(f.node_def for f in library.function)):
        uses.update(name for node in nodes for name in _functions_of(node))
    gone, done = set(), set()

    def visit(function):
        """What is called first, so that it is as small as it gets when it is moved."""
        if function.signature.name in done:
            return
        done.add(function.signature.name)
        for node in function.node_def:
            for name in _functions_of(node):
                if name in functions:
                    visit(functions[name])
        if _has_gradients(function):
            return
        for name in [node.name for node in function.node_def if node.op in CALLS]:
            # As it is now: its inputs may come from a function that was just moved here.
            call = next(node for node in function.node_def if node.name == name)
            called = functions[call.attr["f"].func.name]
            if _is_inlined(called, uses):
                _inline(function, _copy(call), called)
                gone.add(called.signature.name)

    for function in library.function:
        visit(function)
    kept = [_copy(each) for each in library.function if each.signature.name not in gone]
    del library.function[:]
    library.function.extend(kept)


def _functions_of(node):
    for value in node.attr.values():
        yield from (each.name for each in (value.func, *value.list.func) if each.name)


def _is_inlined(function, uses):
    is_compiled_alone = "_XlaMustCompile" in function.attr and function.attr["_XlaMustCompile"].b
    stays = is_compiled_alone or _has_gradients(function)
    return uses[function.signature.name] == 1 and not stays


def _has_gradients(function):
    """Whether a layer defines a gradient by itself, which finds functions and nodes by name."""
    return any("_gradient_op_type" in node.attr for node in function.node_def)


def _inline(function, call, called):
    """Put the nodes of `called` in the place of the node `call` of a function."""
    inputs = [name for name in call.input if not name.startswith("^")]
    before = [name[1:] for name in call.input if name.startswith("^")]
    arguments = [argument.name for argument in called.signature.input_arg]
    arguments = dict(zip(arguments, inputs, strict=True))
    prefix = f"{call.name}/inlined/"

    def moved(name):
        if name.startswith("^"):
            return "^" + moved(name[1:]).partition(":")[0]
        return arguments[name] if name in arguments else prefix + name

    nodes = []
    for node in called.node_def:
        node = _copy(node)
        node.name = prefix + node.name
        from_within = [name for name in node.input if name.lstrip("^") not in arguments]
        waits = [] if from_within else ["^" + name for name in before]
        node.input[:] = [*map(moved, node.input), *waits]
        nodes.append(node)
    outputs = enumerate(called.signature.output_arg)
    same = {f"{call.name}:output:{i}": moved(called.ret[arg.name]) for i, arg in outputs}
    after = [prefix + name for name in called.control_ret.values()]
    at = [node.name for node in function.node_def].index(call.name)
    whole = [*function.node_def[:at], *nodes, *function.node_def[at + 1 :]]
    _replace_nodes(function, whole, same, {call.name: before + after})


def _merge_nodes(function):
    """Take out nodes that stand in a function already, and identities."""
    writes = any(node.op.startswith(("Assign", "Save", "Restore")) for node in function.node_def)
    first, nodes, same = {}, [], {}
    for node in function.node_def:
        if node.op in PURE:
            content = _copy(node)
            content.name = ""
            content.input[:] = [_resolved(name, same) for name in node.input]
            twin = first.setdefault(content.SerializeToString(deterministic=True), node.name)
        # What an identity waits for runs anyhow; only where variables change is that too late.
        elif node.op == "Identity" and not writes:
            same[node.name + ":output:0"] = twin = node.input[0]
        else:
            twin = node.name
        if twin == node.name:
            nodes.append(node)
        else:
            same[node.name] = twin.partition(":")[0]
    _replace_nodes(function, nodes, same)


def _replace_nodes(function, nodes, same, same_order=None):
    """Give a function these nodes, and new names to what they refer to.

    Args:
        function: `FunctionDef`, changed in place.
        nodes: list of `NodeDef`.
        same: dictionary from a node, or a tensor "node:output:0", to the one that it is now.
        same_order: dictionary from a node to a list of nodes to wait for instead.
    """
    arguments = {argument.name for argument in function.signature.input_arg}

    def order(names):
        for name in names:
            if name in same_order:
                yield from order(same_order[name])
            elif name in same:
                yield from order([same[name]])
            elif name not in arguments:  # they are there from the start
                yield name

    same_order = same_order or {}
    nodes = list(map(_copy, nodes))
    for node in nodes:
        tensors = [_resolved(name, same) for name in node.input if not name.startswith("^")]
        waits = order(name[1:] for name in node.input if name.startswith("^"))
        node.input[:] = [*tensors, *("^" + name for name in dict.fromkeys(waits))]
    for returned, name in list(function.ret.items()):
        function.ret[returned] = _resolved(name, same)
    last = list(dict.fromkeys(order(list(function.control_ret.values()))))
    function.control_ret.clear()
    function.control_ret.update({name: name for name in last})
    function.signature.control_output[:] = last
    del function.node_def[:]
    function.node_def.extend(_needed(nodes, [*function.ret.values(), *last]))


def _needed(nodes, results):
    """Of nodes those that tensors or nodes come from."""
    named = {node.name: node for node in nodes}
    names, todo = set(), list(results)
    while todo:
        name = todo.pop().removeprefix("^").partition(":")[0]
        if name in named and name not in names:
            names.add(name)
            todo += named[name].input
    return [node for node in nodes if node.name in names]


def _resolved(name, same):
    """What a reference to a tensor, "node:output:0" or the name of an argument, is now."""
    while name in same or name.partition(":")[0] in same:
        node, colon, output = name.partition(":")
        name = same.get(name) or same[node] + colon + output
    return name


def _copy(message):
    """Of a part of a message that is about to lose it."""
    return type(message).FromString(message.SerializeToString())
