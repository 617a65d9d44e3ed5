"""One uploader's view of a fight: the hits in that log, and their sums."""

from dataclasses import dataclass

import numpy as np

from lostark_simulator.fight import Fight, Hits, Player, Upload
from lostark_simulator.specs import SkillKit, skill_kit
from lostark_simulator.sums import Sums, compute_sums


@dataclass
class PlayerView:
    """A player in one log; damage in damage units."""

    player: Player
    hits: Hits
    kit: SkillKit
    sums: Sums
    damage: int
    idle_casts: dict[int, list[int]]
    given: int = 0

    @property
    def received(self) -> int:
        """Damage that this player owes to others."""
        return int(self.sums.received.sum())

    @property
    def received_support(self) -> int:
        """Damage that this player owes to a support."""
        return int(self.sums.received_support.sum())

    @property
    def casts(self) -> int:
        """Casts of all skills, including those without damage."""
        return int(self.sums.casts.sum()) + sum(map(len, self.idle_casts.values()))


@dataclass
class FightView:
    """A fight in one log; `start_ms` is epoch time on the uploader's clock."""

    fight: Fight
    upload: Upload
    players: list[PlayerView]
    start_ms: int
    wall_ms: int
    duration_ms: int
    grenade_given: int

    @property
    def seconds(self) -> int:
        """The divisor of every DPS."""
        return max(self.duration_ms // 1000, 1)

    @property
    def total_damage(self) -> int:
        """Damage of all players."""
        return sum(view.damage for view in self.players)

    @property
    def last_packet_ms(self) -> int:
        """Epoch ms of the last damage."""
        return self.start_ms + self.wall_ms

    def deaths(self, player: Player) -> list[tuple[int, int | None]]:
        """Deaths in this log."""
        return [death for death in player.deaths if death[0] <= self.wall_ms]


def _player_view(player: Player, hits: Hits, until_ms: int) -> PlayerView:
    kit = skill_kit(player.spec)
    sums = compute_sums(hits, kit)
    seen = {skill: times[times <= until_ms].tolist() for skill, times in player.idle_casts.items()}
    idle_casts = {skill: times for skill, times in seen.items() if times}
    return PlayerView(player, hits, kit, sums, int(sums.damage.sum()), idle_casts)


def _credit_contributions(fight: Fight, players: list[PlayerView]) -> int:
    """Credit contributions to the party's support and synergy provider; returns those of grenades."""
    grenade = 0
    for view in players:
        party = [other for other in players if other.player.party == view.player.party]
        support = next((other for other in party if other.player.spec.is_support), None)
        giver = next((o for o in party if o.player.name == fight.synergy_of_party.get(o.player.party)), None)
        synergy = int(view.hits.received_synergy.sum())
        if support is not None:
            support.given += view.received_support
        if giver is not None:
            giver.given += synergy
        grenade += view.received - view.received_support - synergy
    return grenade


def view_fight(fight: Fight, upload: Upload) -> FightView:
    """The fight in one log: without the missing player and without hits after its cut-off."""
    players = []
    until_ms = fight.wall_ms if upload.cutoff_ms is None else upload.cutoff_ms
    for player in fight.players:
        if player.name == upload.missing_player:
            continue
        hits = player.hits if upload.cutoff_ms is None else player.hits.until(upload.cutoff_ms)
        if hits.at_ms.size:
            players.append(_player_view(player, hits, until_ms))
    players.sort(key=lambda view: -view.damage)
    wall_ms = int(max(np.max(view.hits.at_ms) for view in players))
    gap = fight.intermission_ms
    return FightView(
        fight=fight,
        upload=upload,
        players=players,
        start_ms=fight.started_at_ms + upload.clock_offset_ms,
        wall_ms=wall_ms,
        duration_ms=wall_ms - (gap[1] - gap[0] if gap else 0),
        grenade_given=_credit_contributions(fight, players),
    )
