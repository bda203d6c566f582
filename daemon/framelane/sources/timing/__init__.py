"""The times at which frames were captured."""
