"""The API's reference: the OpenAPI at `/openapi.json`, and the page at `/docs`.

What a route takes and gives is declared at the route; here is what such declarations are made of.
"""
