"""What `recovery.report` is made of: journals found, read as a story, and rendered.

A journal is evidence from outside, perhaps changed by somebody: nothing in it is believed to be
of a certain shape, and none of its characters reaches a terminal unseen.
"""
