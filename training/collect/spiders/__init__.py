"""One spider a source. Scrapy is imported from here on, never by the web process."""
