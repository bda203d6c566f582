"""Images for model trials: rendered by `framelane.demo.scene`, scene 37 after 11 s."""
