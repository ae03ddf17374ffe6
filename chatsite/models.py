"""No tables. The file exists because Django says "the migration is over" (post_migrate) only to apps that have it."""
