"""The verbs that keep a folder in step: they need no server package.

``places`` says where things are kept, ``accounts`` and ``registry`` what is known of servers and
folders, ``credentials`` and ``keys`` where secrets come from, ``mirror_factory`` puts a folder's
mirror together, ``console`` and ``bars`` are what a person or a program reads. Every other module
is a verb.
"""
