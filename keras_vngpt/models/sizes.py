"""The sizes that models come in."""

PRESETS = {
    # About 1, 4, 15 and 124 million parameters with the vocabulary that goes with each.
    "nano": dict(
        vocabulary_size=2_048, num_layers=4, num_heads=2, hidden_dim=128, intermediate_dim=352
    ),
    "tiny": dict(
        vocabulary_size=12_288, num_layers=4, num_heads=3, hidden_dim=192, intermediate_dim=512
    ),
    "small": dict(
        vocabulary_size=8_192, num_layers=6, num_heads=6, hidden_dim=384, intermediate_dim=1_152
    ),
    "base": dict(
        vocabulary_size=49_152, num_layers=12, num_heads=12, hidden_dim=768, intermediate_dim=2_048
    ),
}


def architecture(model_settings):
    """The sizes that a `ModelSettings` asks for: the preset's, with others in their place."""
    sizes = PRESETS[model_settings.preset]
    return {name: getattr(model_settings, name, None) or sizes[name] for name in sizes}
