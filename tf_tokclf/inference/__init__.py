# Import the backend before any module of this package imports transformers or TensorFlow: it selects Keras 2.
import tf_tokclf.model.backend  # noqa: F401
