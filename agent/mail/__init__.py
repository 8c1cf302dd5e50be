"""Mail from mailboxes and files: fetched, parsed and labelled by the process that can do least."""
