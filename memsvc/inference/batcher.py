import asyncio
class EncoderBatcher:
    def __init__(self,e): self.encoder=e; self.lock=asyncio.Lock(); self.available=True
    @classmethod
    def from_settings(cls,e,s): return cls(e)
    async def encode_query(self,t):
        async with self.lock: return (await asyncio.to_thread(self.encoder.encode_queries,[t]))[0]
    async def encode_documents(self,t):
        async with self.lock: return await asyncio.to_thread(self.encoder.encode_documents,list(t))
    async def close(self): pass
