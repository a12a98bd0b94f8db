"""Networks that neither timm nor transformers builds by name; one file for each."""
