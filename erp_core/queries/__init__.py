"""What reads: SQL for screens, tools and rules, in whatever session it is given."""
