"""What recorded data is worth: faults found at the door and in a store, and what they come to."""
