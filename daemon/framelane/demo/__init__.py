"""The self-contained demonstration: rendered streets, looping clips and a small detector trained on them."""
