"""What happens in a campaign, as records for whoever shows or keeps them."""
