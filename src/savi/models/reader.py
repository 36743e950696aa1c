"""The decoder as a turn's branches call it: token by token, behind a cache."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from transformers import Cache, PreTrainedModel

from savi.models.family import Family, token_inputs
from savi.models.kv_cache import KVCache, cache_name
from savi.models.last_layer import want
from savi.models.score import position_ids
from savi.models.states import Levels, State
from savi.models.windows import masks, recurrent_kinds, windows


class Reader:
    """Reads tokens behind those that its cache holds.

    cache: of keys and values. states: of recurrent layers, by layer, a row for each stretch of tokens that is read
    behind them. recurrent: whether there are any. windowed: whether a layer has a window.
    """

    def __init__(self, model: PreTrainedModel, family: Family, prefixes: KVCache) -> None:
        self.model = model
        self.decoder = family.language_model(model)
        self.recurrent = bool(recurrent_kinds(self.decoder))
        self.windowed = any(windows(self.decoder.config).values())
        self.axes = prefixes.axes
        self.cache: Cache = prefixes.cache
        self.states: Mapping[int, State] = prefixes.states
        self._cache_name = cache_name(self.decoder)

    def read(
        self,
        ids: Tensor,
        positions: Tensor,
        mask: Tensor,
        places: Tensor | None,
        levels: Levels | None,
        wanted: Tensor | None = None,
    ) -> Tensor:
        """Token ids, int64 (rows, n), to hidden states (rows, n, d). positions: int64 (rows, n).

        mask: (rows, 1, n, keys), as the attention takes it. places: int64 (rows, keys), of each key in a row of its
        own; None where no layer has a window. levels: of a recurrent decoder. wanted: see `last_layer.want`; None for
        all hidden states.
        """
        seen = masks(self.decoder, mask, places, levels)
        if wanted is not None:
            want(seen, wanted)
        output = self.decoder(
            inputs_embeds=self.model.get_input_embeddings()(ids),
            attention_mask=seen,
            position_ids=position_ids(positions[:, None].expand(-1, self.axes, -1)),
            use_cache=True,
            **{self._cache_name: self.cache},
            **token_inputs(self.decoder, lambda: ids),
        )
        if levels:
            self.states = levels.after
        hidden: Tensor = output.last_hidden_state
        return hidden

    def keep_states(self, rows: Tensor) -> None:
        """Continue with the states of some rows, int64 (n,)."""
        self.states = {layer: state.pick(rows) for layer, state in self.states.items()}
