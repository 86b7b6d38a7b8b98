"""The Python API: data frames and files in, frames and the folders of the commands out.

Read `stores` first, then `runs`, `models` and `experiments`; `frames` is the door for data frames,
`publishing` publishes a fitted model, and `serving` runs the service.
"""
