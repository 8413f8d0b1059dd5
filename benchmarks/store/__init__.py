"""What a run has measured, on disk; imports nothing else of the project and no torch.

``cell`` is the thing measured, ``codec`` its text, ``folder`` the cells of a run that goes on, and
``archive`` those of a published one, all in one file. ``atomic`` writes whole files.
"""
