"""The commands: what may be proposed, signed and executed. One set of types for API, agent, store and evaluation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter

from erp_core.commands.billing import IssueCreditMemo, PostPayment, RecordRemittance, ReportCredit
from erp_core.commands.desk import (
    CheckStep,
    CloseCase,
    DismissCase,
    Matter,
    MatterKind,
    MatterLine,
    OpenCase,
    PauseCase,
    ResumeCase,
    RouteCase,
    SendMessage,
)
from erp_core.commands.fulfilment import (
    AdjustStock,
    ConfirmDelivery,
    ConfirmPack,
    ConfirmPick,
    ConfirmShipment,
    HandledLine,
    Reallocate,
    ReportCount,
    ReportDelay,
    ReturnToShelf,
    RunBackorders,
)
from erp_core.commands.governance import ActivatePolicy, BacktestPolicy, ProposePolicy, RollBackPolicy, WithdrawPolicy
from erp_core.commands.masters import (
    SaveCustomer,
    SaveItem,
    SetBankAccount,
    SetCapacity,
    SetCreditLimit,
    SetPrice,
    SetTerms,
    SetUnit,
    UpdateContact,
    UpdateShipTo,
)
from erp_core.commands.models import (
    KeepSample,
    NominateModel,
    PromoteModel,
    RecordPrompt,
    ReportModel,
    ReviewSample,
    RollBackModel,
)
from erp_core.commands.people import DelegateAuthority, EndDelegation, ResumeAgent, SaveUser, StopAgent
from erp_core.commands.purchasing import (
    AcknowledgePurchase,
    AmendPurchase,
    ApproveMatch,
    ApprovePurchase,
    ArrivedLine,
    BilledLine,
    BuyChange,
    BuyLine,
    CancelPurchase,
    DraftPurchase,
    PutAway,
    ReceiveGoods,
    RecordBill,
    RejectBill,
    ReleasePayment,
    SaveSupplier,
    SendPurchase,
    SetSource,
    SettleQuarantine,
    SetTolerance,
    UpdateExpectedDate,
)
from erp_core.commands.returns import (
    AuthoriseReturn,
    CreditReturn,
    ReceiveReturn,
    RefuseReturn,
    RequestReturn,
    ReturnedLine,
)
from erp_core.commands.sales import (
    AmendOrder,
    CancelOrder,
    DeclineSubstitution,
    ExpediteOrder,
    LineChange,
    NewLine,
    PlaceHold,
    PlaceOrder,
    PromiseDate,
    ReleaseHold,
    RequestChange,
    SubstituteItem,
)
from erp_core.commands.transfers import CancelTransfer, ReceiveTransfer, ShipTransfer, TransferStock

__all__ = [
    "COMMAND",
    "COMMANDS",
    "MOST_COMMANDS",
    "AcknowledgePurchase",
    "ActivatePolicy",
    "AdjustStock",
    "AmendOrder",
    "AmendPurchase",
    "ApproveMatch",
    "ApprovePurchase",
    "ArrivedLine",
    "AuthoriseReturn",
    "BacktestPolicy",
    "BilledLine",
    "BuyChange",
    "BuyLine",
    "CancelOrder",
    "CancelPurchase",
    "CancelTransfer",
    "CheckStep",
    "CloseCase",
    "Command",
    "ConfirmDelivery",
    "ConfirmPack",
    "ConfirmPick",
    "ConfirmShipment",
    "CreditReturn",
    "DeclineSubstitution",
    "DelegateAuthority",
    "DismissCase",
    "DraftPurchase",
    "EndDelegation",
    "ExpediteOrder",
    "HandledLine",
    "IssueCreditMemo",
    "KeepSample",
    "LineChange",
    "Matter",
    "MatterKind",
    "MatterLine",
    "NewLine",
    "NominateModel",
    "OpenCase",
    "PauseCase",
    "PlaceHold",
    "PlaceOrder",
    "PostPayment",
    "PromiseDate",
    "PromoteModel",
    "ProposePolicy",
    "PutAway",
    "Reallocate",
    "ReceiveGoods",
    "ReceiveReturn",
    "ReceiveTransfer",
    "RecordBill",
    "RecordPrompt",
    "RecordRemittance",
    "RefuseReturn",
    "RejectBill",
    "ReleaseHold",
    "ReleasePayment",
    "ReportCount",
    "ReportCredit",
    "ReportDelay",
    "ReportModel",
    "RequestChange",
    "RequestReturn",
    "ResumeAgent",
    "ResumeCase",
    "ReturnToShelf",
    "ReturnedLine",
    "ReviewSample",
    "RollBackModel",
    "RollBackPolicy",
    "RouteCase",
    "RunBackorders",
    "SaveCustomer",
    "SaveItem",
    "SaveSupplier",
    "SaveUser",
    "SendMessage",
    "SendPurchase",
    "SetBankAccount",
    "SetCapacity",
    "SetCreditLimit",
    "SetPrice",
    "SetSource",
    "SetTerms",
    "SetTolerance",
    "SetUnit",
    "SettleQuarantine",
    "ShipTransfer",
    "StopAgent",
    "SubstituteItem",
    "TransferStock",
    "UpdateContact",
    "UpdateExpectedDate",
    "UpdateShipTo",
    "WithdrawPolicy",
]

Command = Annotated[
    PlaceOrder
    | AmendOrder
    | CancelOrder
    | ExpediteOrder
    | SubstituteItem
    | DeclineSubstitution
    | RequestChange
    | PlaceHold
    | ReleaseHold
    | PromiseDate
    | ConfirmPick
    | ConfirmPack
    | ReturnToShelf
    | ConfirmShipment
    | ConfirmDelivery
    | ReportDelay
    | ReportCount
    | AdjustStock
    | RunBackorders
    | Reallocate
    | RecordRemittance
    | PostPayment
    | ReportCredit
    | IssueCreditMemo
    | RequestReturn
    | AuthoriseReturn
    | RefuseReturn
    | ReceiveReturn
    | CreditReturn
    | DraftPurchase
    | ApprovePurchase
    | SendPurchase
    | AcknowledgePurchase
    | UpdateExpectedDate
    | AmendPurchase
    | CancelPurchase
    | ReceiveGoods
    | PutAway
    | SettleQuarantine
    | RecordBill
    | ApproveMatch
    | RejectBill
    | ReleasePayment
    | SaveSupplier
    | SetSource
    | SetTolerance
    | TransferStock
    | ShipTransfer
    | ReceiveTransfer
    | CancelTransfer
    | UpdateContact
    | UpdateShipTo
    | SaveCustomer
    | SetTerms
    | SetCreditLimit
    | SetBankAccount
    | SaveItem
    | SetUnit
    | SetPrice
    | SetCapacity
    | OpenCase
    | RouteCase
    | CloseCase
    | DismissCase
    | PauseCase
    | ResumeCase
    | CheckStep
    | SendMessage
    | ProposePolicy
    | BacktestPolicy
    | ActivatePolicy
    | RollBackPolicy
    | WithdrawPolicy
    | RecordPrompt
    | NominateModel
    | ReportModel
    | PromoteModel
    | RollBackModel
    | KeepSample
    | ReviewSample
    | SaveUser
    | DelegateAuthority
    | EndDelegation
    | StopAgent
    | ResumeAgent,
    Field(discriminator="type"),
]
COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
MOST_COMMANDS = 3  # in a proposal
COMMANDS: TypeAdapter[list[Command]] = TypeAdapter(
    Annotated[list[Command], Field(min_length=1, max_length=MOST_COMMANDS)]
)
