"""The page, in Reflex: small states beside the components that use them."""
