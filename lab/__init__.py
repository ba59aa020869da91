"""Two AWS regions on a laptop: what a rehearsal and every test of recovery run against."""
