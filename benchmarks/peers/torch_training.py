"""A transformers model on PyTorch and its training step, for packed rows.

Knows nothing of keras_vngpt but the arrays of its rows: `token_ids`, `segment_ids`, `target` and
`sample_weight`, [rows, length] each.
"""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers import GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

NAMES = ("token_ids", "segment_ids", "target", "sample_weight")


def make_model(layout, sizes, length):
    """Random weights, transformers' own initialisation, no dropout.

    Args:
        layout: "qwen3" or "gpt2".
        sizes: dict with `vocabulary_size`, `num_layers`, `num_heads`, `hidden_dim` and
            `intermediate_dim`. GPT-2's feed-forward part is four times as wide as the model,
            as it always is: about as many parameters as in the Qwen3 layout.
        length: int, positions in a row.
    """
    hidden_dim, num_heads = sizes["hidden_dim"], sizes["num_heads"]
    ids = dict(bos_token_id=None, eos_token_id=None)
    if layout == "gpt2":
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=sizes["vocabulary_size"],
                n_positions=length,
                n_embd=hidden_dim,
                n_layer=sizes["num_layers"],
                n_head=num_heads,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                attn_implementation="sdpa",
                **ids,
            )
        )
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=sizes["vocabulary_size"],
            hidden_size=hidden_dim,
            intermediate_size=sizes["intermediate_dim"],
            num_hidden_layers=sizes["num_layers"],
            num_attention_heads=num_heads,
            num_key_value_heads=num_heads,
            head_dim=hidden_dim // num_heads,
            max_position_embeddings=length,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
            rms_norm_eps=1e-6,
            tie_word_embeddings=True,
            attn_implementation="sdpa",
            **ids,
        )
    )


def read_rows(folder):
    """The four arrays, mapped."""
    return [np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in NAMES]


def take(rows, indices, device="cpu"):
    """Some of the rows as tensors."""
    arrays = [np.asarray(array[indices]) for array in rows]
    tensors = [torch.from_numpy(a.astype(np.int64)) for a in arrays[:3]]
    return [t.to(device) for t in (*tensors, torch.from_numpy(arrays[3].astype(np.float32)))]


def mask_and_positions(segment_ids):
    """Who may look at whom, [rows, 1, length, length], and the place of each token in its document.

    Padding is a document of its own here: it has no weight, and a row of a mask without any place
    to look at is no number.
    """
    length = segment_ids.shape[1]
    place = torch.arange(length, device=segment_ids.device)
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    mask = same & (place[:, None] >= place[None, :])
    return mask[:, None], mask.sum(-1) - 1


def nats(model, token_ids, segment_ids, target, weight):
    """The weighted sum of the losses of all tokens."""
    mask, positions = mask_and_positions(segment_ids)
    logits = model(
        input_ids=token_ids, attention_mask=mask, position_ids=positions, use_cache=False
    ).logits
    losses = F.cross_entropy(logits.flatten(0, 1).float(), target.flatten(), reduction="none")
    return (losses * weight.flatten()).sum()


class Training:
    """A model with AdamW, linear warm-up, cosine decay to 0, and gradients clipped to norm 1.

    Args:
        model: from `make_model`.
        dtype: "float32", or "bfloat16" or "float16" for autocast.
        compiled: bool, torch.compile for the forward and the backward pass.
        steps: int, in all.
        learning_rate: float, at the end of the warm-up.
        betas: pair of float.
        weight_decay: float, on the matrices, the embeddings among them.
        warmup: float, share of the steps.
        implementation: "fused" or "foreach", of AdamW.
    """

    def __init__(
        self,
        model,
        dtype="float32",
        compiled=False,
        steps=10_000,
        learning_rate=1e-3,
        betas=(0.9, 0.95),
        weight_decay=0.01,
        warmup=0.05,
        implementation="fused",
    ):
        self.model, self.steps, self.learning_rate = model, steps, learning_rate
        self.device = next(model.parameters()).device
        self.dtype = getattr(torch, dtype)
        self.warmup_steps = int(warmup * steps)
        groups = [
            {"params": [p for p in model.parameters() if p.ndim >= 2]},
            {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=learning_rate,
            betas=tuple(betas),
            weight_decay=weight_decay,
            **{implementation: True},
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=dtype == "float16")
        self.nats = torch.compile(nats, dynamic=False) if compiled else nats
        self.done = 0

    def rate(self):
        """The learning rate of the next step."""
        if self.done < self.warmup_steps:
            return self.learning_rate * self.done / self.warmup_steps
        share = (self.done - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))

    def autocast(self):
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32)

    def step(self, batch):
        """One step; returns the loss, a tensor."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        with self.autocast():
            loss = self.nats(self.model, *batch) / batch[3].sum()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.done += 1
        return loss.detach()

    @torch.no_grad()
    def nats_per_weight(self, rows, batch_size=64):
        """The mean loss over all weighted targets of some rows, divided once."""
        total = weight = 0.0
        for start in range(0, len(rows[0]), batch_size):
            batch = take(rows, slice(start, start + batch_size), self.device)
            with self.autocast():
                total += float(nats(self.model, *batch))
            weight += float(batch[3].sum())
        return total / weight
