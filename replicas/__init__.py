"""What the cluster is made of: windows and recordings go to replicas, and what they say comes back."""
