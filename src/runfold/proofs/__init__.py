"""What makes tampering visible, small enough to audit: leaves, the tree over them, signed notes. Needs no other room."""
