"""Collectors: gather text from the web into a JSON Lines file of dialogues and documents, in a process of its own.

job        what is asked of a collector, checked; light enough for the web process
reasons    every way in which an address can fail, as a sentence
settings   limits, and Scrapy's settings, in one place
addresses  which IP addresses may be connected to
ledger     what is done, what is still to do, and the records: survives a kill, doubles and loses nothing
threads    posts and replies to dialogues
plain      pieces of HTML to plain text
guard      refuses what addresses forbids, after redirects and behind names too
pace       waits when a site asks for it
cookie     the operator's cookie, for the site it belongs to
spiders    one file a source
run        the process: `python -m training.collect DIRECTORY`

Knows no Django and no database.
"""
