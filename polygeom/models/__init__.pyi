from . import (
    adapters,
    convert,
    corpus,
    fetch,
    gpt2,
    inception,
    minilm,
    pretrained,
    small_gpt2,
    tokens,
    toy,
    transformer,
)
