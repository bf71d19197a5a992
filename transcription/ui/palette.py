"""The page's colours, light and dark: one table for the style sheet, Gradio's theme and the test of contrast."""

from collections.abc import Iterator, Mapping

LIGHT = {
    "paper": "#f6f5f2",  # behind everything
    "card": "#ffffff",
    "sunken": "#efede8",  # fields, the part of a bar that is not done
    "line": "#dcd8d0",
    "edge": "#85817a",  # what can be operated has an edge that is seen: 3:1
    "ink": "#1d1c1a",
    "muted": "#5b5852",
    "accent": "#0b5f58",
    "on-accent": "#ffffff",
    "now": "#ffe08a",  # behind the word that is played
    "found": "#cfe8ff",  # behind what a search found
    "danger": "#a3231b",
    "danger-paper": "#fdecea",
}
DARK = {
    "paper": "#131312",
    "card": "#1c1c1a",
    "sunken": "#282825",
    "line": "#373632",
    "edge": "#7d7972",
    "ink": "#edebe6",
    "muted": "#aaa69e",
    "accent": "#6cd4c8",
    "on-accent": "#06201d",
    "now": "#6b4e00",
    "found": "#123f63",
    "danger": "#ff9d94",
    "danger-paper": "#3a1a17",
}
SPEAKERS_LIGHT = ("#0a58b8", "#a8320b", "#1b6e34", "#7a31c4", "#805000", "#a61e63", "#00656f", "#4e5660")
SPEAKERS_DARK = ("#83baff", "#ffa27d", "#79d696", "#ceaaff", "#edbb60", "#ff98c9", "#65d5e0", "#b9c1cc")


def style_sheet() -> str:
    """The colours as custom properties; `.speaker-N` sets --who. Gradio puts `dark` on the body."""
    return "\n".join(
        [
            f":root {{ {_properties(LIGHT)} }}",
            f".dark {{ {_properties(DARK)} }}",
            *(f".speaker-{at} {{ --who: {one}; }}" for at, one in enumerate(SPEAKERS_LIGHT)),
            *(f".dark .speaker-{at} {{ --who: {one}; }}" for at, one in enumerate(SPEAKERS_DARK)),
        ]
    )


def _properties(colours: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


def theme_values() -> Iterator[tuple[str, str]]:
    """Gradio's own variables, light and dark, as its themes name them."""
    for gradio, ours in _GRADIO.items():
        yield gradio, LIGHT[ours]
        yield f"{gradio}_dark", DARK[ours]


_GRADIO = {
    "body_background_fill": "paper",
    "body_text_color": "ink",
    "body_text_color_subdued": "muted",
    "background_fill_primary": "card",
    "background_fill_secondary": "card",
    "border_color_primary": "line",
    "block_background_fill": "card",
    "block_border_color": "line",
    "block_label_background_fill": "card",
    "block_label_text_color": "ink",
    "block_title_text_color": "ink",
    "block_info_text_color": "muted",
    "input_background_fill": "card",
    "input_background_fill_focus": "card",
    "input_border_color": "edge",
    "input_border_color_focus": "accent",
    "input_placeholder_color": "muted",
    "checkbox_background_color": "card",
    "checkbox_background_color_selected": "accent",
    "checkbox_border_color": "edge",
    "checkbox_border_color_selected": "accent",
    "checkbox_label_background_fill": "card",
    "checkbox_label_background_fill_hover": "sunken",
    "checkbox_label_background_fill_selected": "sunken",
    "checkbox_label_text_color": "ink",
    "checkbox_label_text_color_selected": "ink",
    "button_primary_background_fill": "accent",
    "button_primary_background_fill_hover": "accent",
    "button_primary_text_color": "on-accent",
    "button_primary_text_color_hover": "on-accent",
    "button_primary_border_color": "accent",
    "color_accent_soft": "sunken",
    "link_text_color": "accent",
    "error_text_color": "danger",
}
