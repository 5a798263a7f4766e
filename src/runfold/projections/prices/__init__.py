"""What model calls cost that nobody reported: at the list prices of their day."""
