"""The models that `framelane model fetch` offers: where they are, their hashes, and how to fetch them."""
