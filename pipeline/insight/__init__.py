"""What a network looks at and what its layers answer to, as arrays and pictures."""
