"""How many floating-point operations a token of training takes."""


def operations_per_token(parameters, num_layers, hidden_dim, length):
    """Forward and backward: 6 for each weight, and attention over whole rows, masked or not.

    The tied embedding is counted once, as the head: looking a row up takes no arithmetic.

    References:
        - [Chowdhery et al., 2022](https://arxiv.org/abs/2204.02311), appendix B.
    """
    return 6 * parameters + 12 * num_layers * hidden_dim * length
