"""Every setting that changes results, in one tree. Apart, because `awac --help` has no use for it."""

from __future__ import annotations

from pydantic import Field

from awaccli.config.baselines import (
    AbmSettings,
    AwrSettings,
    BcqSettings,
    BearSettings,
    BracSettings,
    CqlSettings,
    DapgSettings,
    IqlSettings,
    MpoSettings,
    RlpdSettings,
    SacSettings,
    Td3BcSettings,
)
from awaccli.config.section import Section
from awaccli.config.settings import (
    AwacSettings,
    BcSettings,
    CollectSettings,
    EvaluateSettings,
    FinetuneSettings,
    PretrainSettings,
    RolloutSettings,
)


class Settings(Section):
    """The whole tree; each command uses the sections it needs."""

    bc: BcSettings = Field(default_factory=BcSettings)
    awac: AwacSettings = Field(default_factory=AwacSettings)
    sac: SacSettings = Field(default_factory=SacSettings)
    brac: BracSettings = Field(default_factory=BracSettings)
    bear: BearSettings = Field(default_factory=BearSettings)
    bcq: BcqSettings = Field(default_factory=BcqSettings)
    td3bc: Td3BcSettings = Field(default_factory=Td3BcSettings)
    rlpd: RlpdSettings = Field(default_factory=RlpdSettings)
    cql: CqlSettings = Field(default_factory=CqlSettings)
    iql: IqlSettings = Field(default_factory=IqlSettings)
    awr: AwrSettings = Field(default_factory=AwrSettings)
    mpo: MpoSettings = Field(default_factory=MpoSettings)
    abm: AbmSettings = Field(default_factory=AbmSettings)
    dapg: DapgSettings = Field(default_factory=DapgSettings)
    pretrain: PretrainSettings = Field(default_factory=PretrainSettings)
    finetune: FinetuneSettings = Field(default_factory=FinetuneSettings)
    collect: CollectSettings = Field(default_factory=CollectSettings)
    rollout: RolloutSettings = Field(default_factory=RolloutSettings)
    evaluate: EvaluateSettings = Field(default_factory=EvaluateSettings)
