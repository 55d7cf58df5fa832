"""By ask and tell, says the next steps: which roles, which needs, and who is believed to do them best."""

from shoal.coordinator.coordinator import Coordinator

__all__ = ["Coordinator"]
