# Before any module here can import transformers or TensorFlow by itself: Keras 2, and a quiet start.
import tf_tokclf.model.backend  # noqa: F401
