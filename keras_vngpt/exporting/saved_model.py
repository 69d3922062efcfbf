"""A text generator as a SavedModel."""

import tensorflow as tf

from keras_vngpt.files import atomic_write, locked
from keras_vngpt.generation.config_tensors import CONFIG_SPECS, config_tensors
from keras_vngpt.generation.decoding_state import (
    IDS,
    NUMBER,
    ROWS,
    TEXTS,
    from_tensors,
    named_cache,
    state_specs,
    to_tensors,
)
from keras_vngpt.generation.generation_config import complete
from keras_vngpt.generation.stopping import cut, until_stop
from keras_vngpt.generation.text_generator import answer

# The settings of the signatures `generate` and `generate_ids`, one value for all rows. All inputs
# of a signature have to be given: `generate_with` takes every setting, for each row.
SETTINGS = {
    name: tf.TensorSpec([], CONFIG_SPECS[name].dtype)
    for name in (
        "max_new_tokens",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "repetition_penalty",
        "seed",
    )
}


def save_generator(generator, path, text=True):
    """Write a SavedModel that generates where only TensorFlow is installed.

    It is written beside and renamed: what stood there stays until then.

    Args:
        generator: a `ModelGenerator`.
        path: str or Path, a folder; what stood there is replaced.
        text: whether to write the text signatures, which need tensorflow_text where the
            SavedModel is loaded; without them only ids go in and out.

    Raises:
        UserError: another process is writing it.

    Example:
        >>> save_generator(ModelGenerator(model), "runs/default/export/1")
    """
    with locked(path), atomic_write(path) as partial:
        exported = tf.Module()
        exported.weights = generator.backend.variables  # functions come with the signatures
        if text:
            exported.assets = generator.assets
        tf.saved_model.save(exported, str(partial), signatures=_signatures(generator, text))


def _signatures(generator, text):
    cache_specs = generator.backend.cache_specs
    state, cache = to_tensors(state_specs(cache_specs)), named_cache(cache_specs)
    ids, texts = {"token_ids": IDS}, {"texts": TEXTS}
    prompts = {"prompts": TEXTS} if text else ids
    length, prefix = {"max_new_tokens": NUMBER}, generator.backend.prefix_specs
    stop = {"stop": TEXTS} if text else {}
    defaults = complete({}) | {"max_new_tokens": NUMBER.dtype.max}
    defaults = {name: defaults[name] for name in SETTINGS}

    @tf.function(autograph=False, input_signature=[IDS, SETTINGS])
    def answer_alike(token_ids, settings):
        """Answers to prompts with the same settings; as a function it is in the file once."""
        rows = tf.shape(token_ids)[0]
        shape = tf.reshape(rows, [1])
        config = config_tensors({}, rows)
        config |= {name: tf.fill(shape, value) for name, value in settings.items()}
        return answer(generator, token_ids, config, generator.no_prefix())

    def generate(given):
        settings = {name: given[name] for name in SETTINGS}
        prompts = generator.with_system(given["prompts"])
        token_ids, log_probs = answer_alike(generator.tokenize(prompts), settings)
        return {"responses": generator.refusal(generator.detokenize(token_ids), log_probs)}

    def generate_ids(given):
        settings = {name: given[name] for name in SETTINGS}
        return {"token_ids": answer_alike(given["token_ids"], settings)[0]}

    def greedy(given):
        return (generate if text else generate_ids)(given | defaults)

    def generate_with(given):
        config = {name: given[name] for name in CONFIG_SPECS}
        if not text:
            found = answer(generator, given["token_ids"], config, generator.no_prefix())
            return dict(zip(("token_ids", "log_probabilities"), found, strict=True))
        stop = tf.strings.unicode_transcode(given["stop"], "UTF-8", "UTF-8")  # U+FFFD for no UTF-8
        stop = tf.boolean_mask(stop, tf.strings.length(stop) > 0)
        token_ids = generator.tokenize(generator.with_system(given["prompts"]))
        found = answer(generator, token_ids, config, generator.no_prefix(), stop)
        token_ids, log_probabilities = until_stop(*found, stop, generator.detokenize)
        return {
            "responses": cut(generator.detokenize(token_ids), stop),
            "token_ids": token_ids,
            "log_probabilities": log_probabilities,
        }

    def conversation(given):
        """`TextGenerator.conversation_ids`, and what the model learned of conversations."""
        first, rest = given["prompts"][:1], given["prompts"][1:]
        requests = generator.tokenize(tf.concat([generator.with_system(first), rest], axis=0))
        answers = generator.encode_response(given["responses"])
        ends = tf.fill([tf.shape(answers)[0], 1], generator.end)
        turns = tf.concat([requests[:-1], answers, ends], axis=1)
        ids = tf.concat([tf.reshape(turns, [1, -1]), requests[-1:]], axis=1)
        return {
            "token_ids": tf.boolean_mask(ids, ids[0] != 0, axis=1),
            "system": tf.constant(generator.system),
            "turns": tf.constant(generator.turns),
            "refusal": tf.constant(generator.refusal.sentence),
            "refuse_below": tf.constant(generator.refusal.below),
        }

    def prefill(given):
        before = {name: given[name] for name in prefix}
        return to_tensors(generator.prefill(given["token_ids"], given["max_new_tokens"], before))

    def decode_step(given):
        held = tf.nest.pack_sequence_as(cache_specs, [given[name] for name in cache])
        names = "token_ids", "lengths", "cache_position"
        logits, held = generator.decode_step(*(given[name] for name in names), held)
        return {"logits": logits, **named_cache(held)}

    def decode_steps(given):
        config = {name: given[name] for name in CONFIG_SPECS}
        before = from_tensors(given, cache_specs)
        return to_tensors(generator.decode_steps(before, given["count"], config))

    def insert(given):
        new = {name: given[f"new_{name}"] for name in state}
        new = from_tensors(new, cache_specs)
        return to_tensors(generator.insert(from_tensors(given, cache_specs), new, given["rows"]))

    def remove(given):
        rest, *answers = generator.remove(from_tensors(given, cache_specs), given["rows"])
        names = "answer_ids", "answer_log_probabilities"
        return to_tensors(rest) | dict(zip(names, answers, strict=True))

    def score(given):
        log_probability, token_count = generator.score(given["texts"])
        return {"log_probability": log_probability, "token_count": token_count}

    def vocabulary(_):
        return {"tokens": generator.vocabulary(), "end": tf.constant(generator.end)}

    signatures = {
        "serving_default": _signature(greedy, prompts),
        "generate_ids": _signature(generate_ids, ids | SETTINGS),
        "generate_with": _signature(generate_with, prompts | stop | CONFIG_SPECS),
        "generation_config": _signature(
            lambda given: config_tensors({}, given["rows"]), {"rows": NUMBER}
        ),
        "prefix_cache": _signature(
            lambda given: generator.prefix_of(given["prefix_ids"]), {"prefix_ids": ROWS}
        ),
        "prefill": _signature(prefill, ids | length | prefix),
        "decode_steps": _signature(decode_steps, state | {"count": NUMBER} | CONFIG_SPECS),
        "decode_step": _signature(
            decode_step, {"token_ids": ROWS, "lengths": ROWS, "cache_position": NUMBER, **cache}
        ),
        "insert": _signature(
            insert, state | {f"new_{name}": spec for name, spec in state.items()} | {"rows": ROWS}
        ),
        "remove": _signature(remove, state | {"rows": ROWS}),
    }
    if not text:
        return signatures
    return signatures | {
        "generate": _signature(generate, prompts | SETTINGS),
        "conversation": _signature(conversation, prompts | {"responses": TEXTS}),
        "score": _signature(score, texts),
        "tokenize": _signature(lambda given: {"token_ids": generator.tokenize(**given)}, prompts),
        "detokenize": _signature(lambda given: {"texts": generator.detokenize(**given)}, ids),
        "encode_response": _signature(
            lambda given: {"token_ids": generator.encode_response(**given)}, texts
        ),
        "tables": _signature(
            lambda given: generator.tables(**given), {"bad_words": TEXTS, "choices": TEXTS}
        ),
        "vocabulary": _signature(vocabulary, {}),
    }


def _signature(function, specs):
    """A function of a dictionary as one of tensors with these names."""
    specs = {name: tf.TensorSpec(s.shape, s.dtype, name) for name, s in specs.items()}

    def call(*values):
        return function(dict(zip(specs, values, strict=True)))

    return tf.function(call, autograph=False, input_signature=list(specs.values()))
