"""What happens in a campaign, as records for what shows or keeps them."""
