"""What models are worth on plays of real people, with peers beside: `python -m benchmarks.real`.

`__main__` has the sets. `tables` scores lists, `product` asks this project for its models, `peers`
fits those of others, and each other module measures sets of one kind (docs/real-data.md).
"""
