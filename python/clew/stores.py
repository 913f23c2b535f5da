"""The records of the stores: what ``rt.processes``, ``rt.sessions`` and the others take."""

from __future__ import annotations

from ._artifacts import (
    Artifacts,
    ModuleArtifact,
    ProcessRef,
)
from ._attachments import (
    AttachmentReader,
    AttachmentRef,
    Attachments,
    AttachmentSweep,
    ManifestEntry,
    StoredAttachment,
)
from ._effects import EffectController, Effects, EffectScope, RuntimeEffectEnvelope
from ._process_records import (
    ProcessEvent,
    ProcessEventAppendRequest,
    ProcessEventAppendResult,
    ProcessEventSemantics,
    ProcessEventType,
    ProcessExternalRef,
    ProcessHandleDescriptor,
    ProcessHandleGrant,
    ProcessLease,
    ProcessLeaseCompletion,
    ProcessProvenance,
    ProcessRecord,
    ProcessRecovery,
    ProcessRegistration,
    ProcessScope,
    ProcessSessionDeleteReport,
    ProcessTerminalSpec,
    ProcessWakeDelivery,
    ProcessWakeSpec,
)
from ._processes import Processes
from ._session_records import (
    AgentFrame,
    BytesPart,
    Checkpoint,
    CommitResult,
    GcReport,
    GraphDelta,
    JsonPart,
    MergeKey,
    PersistedSession,
    QueuedItem,
    QueuedPayload,
    QueuedWorkBatch,
    QueuedWorkClaim,
    QueuedWorkCompletion,
    QueuedWorkDraft,
    QueuedWorkReceipt,
    ReadScope,
    RuntimeCommit,
    SessionConfig,
    SessionGraph,
    SessionMeta,
    SessionNode,
    TokenLedgerEntry,
    TokenUsage,
    TurnStamp,
    VacuumReport,
)
from ._sessions import Session, Sessions
from ._triggers import (
    HostEvent,
    HostEventOccurrenceRequest,
    TriggerDelivery,
    TriggerDraft,
    TriggerInput,
    Triggers,
    TriggerSubscription,
)

# The same by the longer names that the stores' specification has.
AgentFrameRecord = AgentFrame
AttachmentManifestEntry = ManifestEntry
GraphCommitDelta = GraphDelta
HostEventOccurrenceRecord = HostEvent
PersistedSessionRead = PersistedSession
ProcessEventSemanticsSpec = ProcessEventSemantics
QueuedWorkBatchDraft = QueuedWorkDraft
QueuedWorkItem = QueuedItem
QueuedWorkPayload = QueuedPayload
RuntimeCommitResult = CommitResult
RuntimeTurnCommitStamp = TurnStamp
SessionNodeRecord = SessionNode
SessionReadScope = ReadScope
TriggerDeliveryReservation = TriggerDelivery
TriggerSubscriptionDraft = TriggerDraft
TriggerSubscriptionRecord = TriggerSubscription

__all__ = [
    "AgentFrame",
    "AgentFrameRecord",
    "Artifacts",
    "AttachmentManifestEntry",
    "AttachmentReader",
    "AttachmentRef",
    "AttachmentSweep",
    "Attachments",
    "BytesPart",
    "Checkpoint",
    "CommitResult",
    "EffectController",
    "EffectScope",
    "Effects",
    "GcReport",
    "GraphCommitDelta",
    "GraphDelta",
    "HostEvent",
    "HostEventOccurrenceRecord",
    "HostEventOccurrenceRequest",
    "JsonPart",
    "ManifestEntry",
    "MergeKey",
    "ModuleArtifact",
    "PersistedSession",
    "PersistedSessionRead",
    "ProcessEvent",
    "ProcessEventAppendRequest",
    "ProcessEventAppendResult",
    "ProcessEventSemantics",
    "ProcessEventSemanticsSpec",
    "ProcessEventType",
    "ProcessExternalRef",
    "ProcessHandleDescriptor",
    "ProcessHandleGrant",
    "ProcessLease",
    "ProcessLeaseCompletion",
    "ProcessProvenance",
    "ProcessRecord",
    "ProcessRecovery",
    "ProcessRef",
    "ProcessRegistration",
    "ProcessScope",
    "ProcessSessionDeleteReport",
    "ProcessTerminalSpec",
    "ProcessWakeDelivery",
    "ProcessWakeSpec",
    "Processes",
    "QueuedItem",
    "QueuedPayload",
    "QueuedWorkBatch",
    "QueuedWorkBatchDraft",
    "QueuedWorkClaim",
    "QueuedWorkCompletion",
    "QueuedWorkDraft",
    "QueuedWorkItem",
    "QueuedWorkPayload",
    "QueuedWorkReceipt",
    "ReadScope",
    "RuntimeCommit",
    "RuntimeCommitResult",
    "RuntimeEffectEnvelope",
    "RuntimeTurnCommitStamp",
    "Session",
    "SessionConfig",
    "SessionGraph",
    "SessionMeta",
    "SessionNode",
    "SessionNodeRecord",
    "SessionReadScope",
    "Sessions",
    "StoredAttachment",
    "TokenLedgerEntry",
    "TokenUsage",
    "TriggerDelivery",
    "TriggerDeliveryReservation",
    "TriggerDraft",
    "TriggerInput",
    "TriggerSubscription",
    "TriggerSubscriptionDraft",
    "TriggerSubscriptionRecord",
    "Triggers",
    "TurnStamp",
    "VacuumReport",
]
