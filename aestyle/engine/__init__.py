"""What every method shares: phases, clock, keyed draws, EMA, checkpoint IO, callbacks."""
