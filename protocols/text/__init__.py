"""Texts as octets and back: alphabets, parts of a long text, and their joining."""
