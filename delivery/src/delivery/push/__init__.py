"""git push deploys: what the sandbox's git server does with what it receives."""
