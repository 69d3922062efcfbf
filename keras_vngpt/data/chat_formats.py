"""Conversations in the formats that people hand around, as a system text and messages in turn.

Read are lists of `{"role", "content"}` (OpenAI, MiniMind, nanochat) and of `{"from", "value"}`
(ShareGPT), under `messages`, `conversations` or `conversation`, or as the whole record; prompt and
completion that are lists of messages (TRL); content in parts; developer for system.
"""

LISTS = ("messages", "conversations", "conversation")
ROLES = {
    "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "chatgpt": "assistant",
    "model": "assistant",
    "system": "system", "developer": "system",
}  # fmt: skip
CALLS = ("tool_calls", "function_call")
KNOWN = {"role", "content", "from", "value", *CALLS}


def is_conversation(value):
    """Whether a value is a list of messages.

    Example:
        >>> is_conversation([{"from": "human", "value": "Chào bạn"}])
        True
    """
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(m, dict) and ("role" in m or "from" in m) for m in value)
    )


def messages_of(messages, not_used):
    """Messages of any of the formats in one form.

    Args:
        messages: list of dictionaries.
        not_used: dictionary, that gets the fields of messages that mean something else.

    Returns:
        `(system, contents)`: str, "" for none, and a list of str, of user and assistant in turn.

    Raises:
        ValueError: other roles, another order, a part that is no text, a call of a tool.

    Example:
        >>> messages_of([{"from": "human", "value": "Chào"}, {"from": "gpt", "value": "Chào!"}], {})
        ('', ['Chào', 'Chào!'])
    """
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise ValueError("messages must be a list of objects with role and content")
    roles, contents = [], []
    for message in messages:
        for call in CALLS:
            if message.get(call):
                raise ValueError(f"{call}: this model writes text alone, and calls no tools")
        role = message.get("role", message.get("from"))
        roles.append(ROLES.get(str(role).strip().lower(), role))
        contents.append(_text(message.get("content", message.get("value")), f"{role} message"))
        for name in message.keys() - KNOWN:
            if message[name] not in (None, "", []):
                not_used[name] = "of a message; all responses are learned alike"
    system = contents.pop(0) if roles[:1] == ["system"] else ""
    roles = roles[len(roles) - len(contents) :]
    if not roles or roles != ["user", "assistant"] * (len(roles) // 2):
        raise ValueError(
            "messages must be user and assistant in turn, after an optional system; "
            f"roles are {', '.join(map(str, roles)) or 'none'}"
        )
    return system, contents


def _text(content, name):
    """The content of a message, in parts or not."""
    if not isinstance(content, list):
        return content
    parts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            kind = part.get("type", "object") if isinstance(part, dict) else type(part).__name__
            raise ValueError(f"{name} has a part of type {kind}: only text is learned")
        parts.append(text)
    return "\n".join(parts)
