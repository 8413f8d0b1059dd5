"""Blocks, and the pages that are made of them: HTML, Markdown, LaTeX."""
