"""What is known of pretrained weights without loading them: preprocessing, licence, file."""
